"""The paper's study: recipes, resumable cells, tables and answers."""
