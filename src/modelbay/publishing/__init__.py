"""For providers: writes their manifest, checks it, and hosts it for a trial."""
