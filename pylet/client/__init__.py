"""How everything but the registry reaches the API: the Client protocol, the View, informers, HTTP."""
