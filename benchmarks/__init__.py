"""One file per number that the README claims. Never a gate: figures depend on the machine."""
