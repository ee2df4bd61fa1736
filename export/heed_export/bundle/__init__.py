"""The bundle folder that heed-server loads: its files written and read, its certificate, its licence."""
