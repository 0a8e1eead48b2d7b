run:
	python3 train.py
