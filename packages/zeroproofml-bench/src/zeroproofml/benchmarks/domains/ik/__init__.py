"""IK: differential inverse kinematics through poles, the producing side."""
