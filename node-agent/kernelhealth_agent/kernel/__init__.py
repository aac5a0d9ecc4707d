"""What kernel interfaces say: text and bytes to frozen values, without any reading."""
