"""Words everybody shares: ids, limits, errors and the ports to the world, with their fakes."""
