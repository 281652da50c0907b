"""(door-plate to come)"""
