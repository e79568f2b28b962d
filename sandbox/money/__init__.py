"""Pure figures: no store, no HTTP, and no clock but the one in the arguments. Amounts are integers in minor units."""
