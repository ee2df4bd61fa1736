"""The command that trains: training/recipe.py, whose name on the command line stays as recipes and model cards have it."""

if __name__ == "__main__":
    from heed_export import needs

    needs.check("heed_export.recipe", "numpy", "torch", "sentencepiece")  # before what may be missing is imported

    from heed_export.training.recipe import main

    main()
