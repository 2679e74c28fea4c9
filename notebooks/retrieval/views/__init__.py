"""What a person looks at: grids, plots, clicking, the answer to a query, the report."""
