"""What a namespace uses: `measure` for one object, `ledger` for all of them, `check` for admission."""
