"""What a Lync Front End adds to a registrar: sign-in answers, self-subscriptions with provisioning, SERVICE."""
