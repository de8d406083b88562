"""What administrators use: the command line."""
