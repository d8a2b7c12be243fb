"""CartPole-v1 with the DQN alone: NumPy, and Gymnasium for the task."""

import gymnasium as gym

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN


def train(seed: int, total_steps: int = 50_000) -> DQN:
    """Learn from scratch, and keep the best model of 20 evaluations in another environment."""
    dqn = DQN({"preset": "best_cartpole", "seed": seed})
    dqn.learn(
        gym.make("CartPole-v1"),
        total_steps,
        eval_env=gym.make("CartPole-v1"),
        eval_interval=2_500,
        eval_episodes=20,
        keep_best=True,
    )
    return dqn


def greedy_return(dqn: DQN, episode: int) -> float:
    """Play one episode without exploration; its number is the task's seed."""
    env, total, over = gym.make("CartPole-v1"), 0.0, False
    state, _ = env.reset(seed=episode)
    while not over:
        state, reward, terminated, truncated, _ = env.step(dqn.select_action(state))
        total, over = total + float(reward), terminated or truncated
    return total


if __name__ == "__main__":
    dqn = train(seed=0)
    returns = [greedy_return(dqn, episode) for episode in range(20)]
    print(f"mean greedy return of 20 episodes: {sum(returns) / len(returns)}")
