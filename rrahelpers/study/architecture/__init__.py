"""The dissertation's sections 4.3 and 8.3 and its chapters 9 to 11: probes, tails, receptive fields, what to change."""
