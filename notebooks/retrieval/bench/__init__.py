"""What the steps cost on this machine, beside other ways of doing them."""
