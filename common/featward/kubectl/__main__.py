"""`python -m featward.kubectl`, for where no script `kubectl-featward` is."""

from featward.kubectl import main

if __name__ == "__main__":
    main()
