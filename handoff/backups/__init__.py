"""Backups of the services' SQLite files: made while they run, checked, and put back."""
