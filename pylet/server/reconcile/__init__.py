"""Controllers as data: what a plan is, and the one runner that carries plans out for all of them."""
