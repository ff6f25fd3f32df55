"""Tests of the reference model: against Linux, scapy, tshark, and by hand."""
