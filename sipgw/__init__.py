"""sipgw."""
