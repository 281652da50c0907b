"""(building)"""
