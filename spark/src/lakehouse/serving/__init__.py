"""Pages for people, in Airflow's menu and behind its login: what ran, what became of every row, what readers see."""
