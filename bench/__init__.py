"""Benchmarks: `python -m bench`. They print ratios measured in one run, as absolute times say more about the machine."""
