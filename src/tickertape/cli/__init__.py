"""One file per command; the composition root: real clocks, disks, sockets are built here."""
