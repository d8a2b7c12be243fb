"""Vendors of market data: what is fetched from them is stored, and runs read the store."""
