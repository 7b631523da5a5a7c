"""The scheduler: `decide` is pure, plugins say what counts, `loop` feeds it and binds."""
