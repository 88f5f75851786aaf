"""The lab: real servers of one's own, unpacked under the checkout and never installed."""
