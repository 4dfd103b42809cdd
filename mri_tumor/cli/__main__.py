"""`python -m mri_tumor.cli`: the command line without the installed script."""

from mri_tumor.cli import main

if __name__ == "__main__":
    main()
