"""The workbook as people work on it: review, spreadsheets, checks, signatures, upgrades. Reads tables, runs nothing."""
