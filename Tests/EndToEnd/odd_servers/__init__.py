"""Tables of odd servers, by what is odd about them. Each module has `ROWS`; test_odd_servers.py runs them all."""
