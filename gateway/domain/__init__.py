"""The words of the gateway: frozen values, reasons and errors. Imports nothing of ours."""
