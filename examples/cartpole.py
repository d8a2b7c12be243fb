"""CartPole-v1 with the DQN alone: NumPy, and Gymnasium for the task."""

import gymnasium as gym

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

HYPERPARAMETERS = {
    "hidden_layers": [128, 128],
    "learning_rate": 2.3e-3,
    "batch_size": 128,
    "train_frequency": 256,  # every 256 steps in the task ...
    "gradient_steps": 128,  # ... 128 of training, towards one fixed target network
    "target_update_interval": 128,
    "exploration_fraction": 0.16,
    "exploration_final": 0.1,
}


def train(seed: int, total_steps: int = 50_000) -> DQN:
    """Learn from scratch."""
    dqn = DQN({"hyperparameters": HYPERPARAMETERS, "seed": seed})
    dqn.learn(gym.make("CartPole-v1"), total_steps)
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
