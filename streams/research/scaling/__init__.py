"""Days with surprises, a fleet that is late, and the policies that scale it: `outcry forecast evaluate`."""
