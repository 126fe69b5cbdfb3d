"""Four generated worlds beside the shop, one a field of application, with known truth."""
