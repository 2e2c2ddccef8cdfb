"""What is measured: games, histories, teachers, tasks, benchmarks and the harness that plays runs."""
