"""One file per verb, each declaring `VERB`; verbs do not know each other."""
