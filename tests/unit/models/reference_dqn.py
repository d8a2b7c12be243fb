"""The DQN family written out slowly from its papers, the loss one row at a time.

The loss is a function of the flat mapping of the online parameters, in HIPS autograd's NumPy, so
that ``autograd.grad`` of it is a foreign gradient. Nothing here is shared with the product.

    rows = make_rows(h, online, target, batch, gamma, noise, target_noise)      # constants
    value = loss(h, online, noise, batch.s_tm1, rows)
    gradients = grad(lambda w: loss(h, w, noise, batch.s_tm1, rows))(online)

`h` is any object with the hyperparameters as attributes. Parameters go by name: ``W0``, ``b0``, ...
(dense layers), ``gain0``, ``offset0``, ... (layer normalisation), ``sigma_W0``, ``sigma_b0``, ...
(noisy layers, whose noise is a mapping ``W0``, ``b0``, ... of the epsilons by which the sigmas are
multiplied; None without).
"""

from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

LAYER_NORM_EPSILON = 1e-5


class Row(NamedTuple):
    """One term of the loss: everything in it is a constant."""

    sample: int
    action: int
    target: Any  # () of head expected, (n,) probabilities of c51, (n,) returns of qr
    importance: float


# -- the network ------------------------------------------------------------------------------


def effective_parameters(weights, noise):
    """W + sigma_W * epsilon of every dense layer: Fortunato et al. 2018, arXiv:1706.10295, eq. 9.

    ``noise`` holds the factorised epsilons themselves: f(eps_in) f(eps_out)^T for a W, f(eps_out)
    for a b.
    """
    if noise is None:
        return weights
    noisy = {name: weights[name] + weights[f"sigma_{name}"] * noise[name] for name in noise}
    return {**weights, **noisy}


def normalised(z, gain, offset):
    """Layer normalisation of each row's units: Ba et al. 2016, arXiv:1607.06450, eqs. 3 and 4."""
    units = z.shape[1]
    deviations = z - anp.sum(z, axis=1, keepdims=True) / units
    variance = anp.sum(deviations**2, axis=1, keepdims=True) / units
    return gain * deviations / anp.sqrt(variance + LAYER_NORM_EPSILON) + offset


def relu(y):
    return anp.maximum(y, 0.0)


def duelled(value, advantages):
    """V + A[a] - mean of A: Wang et al. 2016, arXiv:1511.06581, eq. 9.

    `value` is (N, 1, n), `advantages` (N, A, n); of distributions, for every atom or quantile.
    """
    return value + advantages - anp.mean(advantages, axis=1, keepdims=True)


def dense(parameters, i, a):
    return anp.dot(a, parameters[f"W{i}"]) + parameters[f"b{i}"]


def network(h, parameters, states, trace=None):
    """Outputs (N, A, n) of states (N, n_in); `trace`, a list, receives what each ReLU was given."""

    def hidden(i, part):
        y = dense(parameters, i, a)[:, part]
        if h.layer_norm:
            y = normalised(y, parameters[f"gain{i}"][part], parameters[f"offset{i}"][part])
        if trace is not None:
            trace.append(y)
        return relu(y)

    def per_action(outputs):
        return anp.reshape(outputs, (len(states), -1, outputs_per_action(h)))

    a = np.asarray(states, dtype=np.float64)
    last = len(h.hidden_layers) - 1
    for i in range(last):
        a = hidden(i, slice(None))
    if not h.dueling:
        a = hidden(last, slice(None))
        return per_action(dense(parameters, last + 1, a))
    # The last hidden layer is two: the value's and the advantages', each normalised by itself.
    width = h.hidden_layers[last]
    value_units, advantage_units = hidden(last, slice(width)), hidden(last, slice(width, None))
    value = per_action(dense(parameters, last + 1, value_units))
    return duelled(value, per_action(dense(parameters, last + 2, advantage_units)))


# -- the heads --------------------------------------------------------------------------------


def outputs_per_action(h):
    return 1 if h.head == "expected" else h.n_atoms


def support(h):
    """The atoms' returns."""
    return [h.v_min + i * (h.v_max - h.v_min) / (h.n_atoms - 1) for i in range(h.n_atoms)]


def softmax(logits):
    exponentials = anp.exp(logits - anp.max(logits))
    return exponentials / anp.sum(exponentials)


def values(h, outputs):
    """The expected return of every action, (A,), of outputs (A, n)."""
    if h.head == "c51":
        return np.array([sum(softmax(row) * support(h)) for row in outputs])
    return np.array([sum(row) / len(row) for row in outputs])


def projected(h, probabilities, reward, discount):
    """The target's distribution on the atoms: Bellemare et al. 2017, arXiv:1707.06887, alg. 1.

    The algorithm as printed loses the mass of an atom that falls exactly on another.
    """
    spacing = (h.v_max - h.v_min) / (h.n_atoms - 1)
    m = np.zeros(h.n_atoms)
    for p, z in zip(probabilities, support(h), strict=True):
        moved = min(max(reward + discount * z, h.v_min), h.v_max)
        b = min(max((moved - h.v_min) / spacing, 0.0), h.n_atoms - 1.0)
        lower, upper = int(np.floor(b)), int(np.ceil(b))
        if lower == upper:
            m[lower] += p
        else:
            m[lower] += p * (upper - b)
            m[upper] += p * (b - lower)
    return m


def target_of(h, bootstrap, reward, discount):
    """What the head learns towards, of the target network's outputs (n,) of the next action."""
    if h.head == "expected":
        return reward + discount * bootstrap[0]
    if h.head == "c51":
        return projected(h, softmax(bootstrap), reward, discount)
    return reward + discount * bootstrap


def huber(u, kappa):
    """Huber 1964."""
    size = anp.abs(u)
    return anp.where(size <= kappa, 0.5 * u**2, kappa * (size - 0.5 * kappa))


def row_loss(h, predicted, target):
    """The loss of one row, of the online outputs (n,) of its action."""
    if h.head == "expected":
        error = predicted[0] - target
        return error**2 if h.loss == "squared" else huber(error, h.huber_delta)
    if h.head == "c51":
        return -anp.sum(target * anp.log(softmax(predicted)))
    # Dabney et al. 2018, arXiv:1710.10044, eqs. 8 to 10: the quantile Huber loss of every pair,
    # summed over the quantiles i (down), averaged over the target's j (across).
    tau = np.array([(2 * i + 1) / (2 * h.n_atoms) for i in range(h.n_atoms)])[:, None]
    u = target[None, :] - predicted[:, None]
    rho = anp.where(u < 0, 1.0 - tau, tau) * huber(u, h.huber_delta) / h.huber_delta
    return anp.sum(anp.mean(rho, axis=1))


def row_priority(h, predicted, target):
    """|error|, Kullback-Leibler divergence from the target, or the quantile loss."""
    if h.head == "expected":
        return abs(predicted[0] - target)
    if h.head == "c51":
        p = softmax(predicted)
        return sum(m * np.log(m / q) for m, q in zip(target, p, strict=True) if m > 0)
    return row_loss(h, predicted, target)


# -- the loss ---------------------------------------------------------------------------------


def valid_at(batch, place, n_actions):
    """The valid actions of one next state."""
    if batch.mask_t is None:
        return list(range(n_actions))
    return [a for a in range(n_actions) if batch.mask_t[place][a]]


def best_valid(q, valid):
    """The valid action with the largest value, the first of equals; none where all is over."""
    best = 0 if not valid else valid[0]
    for a in valid:
        if q[a] > q[best]:
            best = a
    return best


def make_rows(h, online, target, batch, gamma, noise=None, target_noise=None):
    """The rows of a batch with their targets, which are constants.

    Double DQN (van Hasselt et al. 2016, arXiv:1509.06461) lets the online network, with the
    online noise, choose the next action; else the target network does. Its outputs are the value.
    """
    online = effective_parameters(online, noise)
    target = effective_parameters(target, target_noise)
    rows = []
    for sample in range(len(batch.s_tm1)):
        steps = 1 if batch.steps is None else int(batch.steps[sample])
        importance = 1.0 if batch.weights is None else float(batch.weights[sample])
        if batch.a_tm1 is None:
            actions = range(batch.r_t.shape[1])
            places = [(sample, action) for action in actions]
        else:
            actions, places = [int(batch.a_tm1[sample])], [(sample,)]
        for action, place in zip(actions, places, strict=True):
            s_t = batch.s_t[place][None, :]
            outputs = network(h, target, s_t)[0]
            chooser = network(h, online, s_t)[0] if h.double_dqn else outputs
            next_action = best_valid(values(h, chooser), valid_at(batch, place, len(chooser)))
            discount = gamma**steps * (1.0 - float(batch.terminated[place]))
            y = target_of(h, outputs[next_action], float(batch.r_t[place]), discount)
            rows.append(Row(sample, action, y, importance))
    return rows


def loss(h, weights, noise, states, rows):
    """Mean over the rows of importance * loss, differentiable in `weights`."""
    outputs = network(h, effective_parameters(weights, noise), states)
    total = 0.0
    for row in rows:
        total = total + row.importance * row_loss(h, outputs[row.sample, row.action], row.target)
    return total / len(rows)


def priorities(h, weights, noise, states, rows):
    """One priority a row."""
    outputs = network(h, effective_parameters(weights, noise), states)
    return np.array([row_priority(h, outputs[r.sample, r.action], r.target) for r in rows])


def kink_distance(h, online, target, batch, noise=None, target_noise=None):
    """How near anything is to where the loss jumps or bends in the online parameters.

    The smaller of: a ReLU's input in the states; the lead of a best next action over the second.
    """
    parameters = effective_parameters(online, noise)
    trace = []
    network(h, parameters, batch.s_tm1, trace)
    found = [float(np.min(np.abs(y))) for y in trace]
    chooser = parameters if h.double_dqn else effective_parameters(target, target_noise)
    shape = batch.s_t.shape[:-1]
    every = network(h, chooser, np.reshape(batch.s_t, (-1, batch.s_tm1.shape[1])))
    for place, outputs in zip(np.ndindex(*shape), every, strict=True):
        q = np.sort(values(h, outputs)[valid_at(batch, place, len(outputs))])
        if len(q) > 1:
            found.append(float(q[-1] - q[-2]))
    return min(found)


def bend_distance(h, weights, noise, states, rows):
    """How near an error is to where its loss' second derivative jumps."""
    if h.head == "c51" or (h.head == "expected" and h.loss == "squared"):
        return np.inf
    bends = [0.0, h.huber_delta] if h.head == "qr" else [h.huber_delta]
    outputs = network(h, effective_parameters(weights, noise), states)
    found = []
    for row in rows:
        errors = np.subtract.outer(np.atleast_1d(row.target), outputs[row.sample, row.action])
        found += [float(np.min(np.abs(np.abs(errors) - bend))) for bend in bends]
    return min(found)
