"""What only `notebooks/more/` needs: splits, label errors, short trainings, unseen categories, tree or
exact, out-of-distribution queries.
"""
