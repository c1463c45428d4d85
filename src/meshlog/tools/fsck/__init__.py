"""Is everything in a store what its authors wrote, and shown as it says?"""
