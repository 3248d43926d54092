"""JAX as it comes, without x64: its own process, since the switch is a property of one.

Also what importing the package brings along.
"""

import subprocess
import sys
import textwrap

import pytest


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_integers_become_float32_without_wrapping_or_warning():
    run(
        """
        import jax, jax.numpy as jnp, numpy as np
        from zeroproofml.jax import ops, SCMArray, SCMRationalLayer, strict_inference

        def same(pair, values):
            assert pair[0].dtype == jnp.float32, pair
            assert np.allclose(pair[0], values, rtol=1e-6), pair
            assert not pair[1].any()

        same(ops.scm_add_jax(2**63 - 1, 1), 2.0**63)
        same(ops.scm_mul_jax(np.array([2**40]), 2), 2.0**41)
        same(ops.scm_neg_jax(np.array([-(2**62)], np.int64)), 2.0**62)
        same(ops.scm_neg_jax(jnp.array([-128], jnp.int8)), 128.0)
        same(ops.scm_div_jax(np.uint8(16), np.uint8(16)), 1.0)
        same(ops.scm_pow_jax([2, 3], 2), [4.0, 9.0])
        same(ops.scm_div_jax(1, 2), 0.5)
        same(ops.scm_div_jax(np.float64(1), 2.0), 0.5)

        # float64 input is cut to float32, and what float32 cannot hold is ⊥, never inf.
        payload, mask = ops.scm_add_jax(np.array([1e300, 1.0]), 0.0)
        assert mask.tolist() == [True, False] and payload.tolist() == [0.0, 1.0]
        assert SCMArray([1, 2]).dtype == jnp.float32
        assert (SCMArray([1e30]) * 1e30).causes() == {"OVERFLOW": 1}
        assert SCMArray.bottom(2).dtype == jnp.float32
        assert SCMArray([1.0, float("nan")]).mean_valid()[1] == 1

        gradient = jax.grad(lambda x: ops.scm_div_jax(1.0, x)[0].sum())
        assert gradient(jnp.array([2.0, 0.0, 1e-30])).tolist() == [-0.25, 0.0, 0.0]
        layer = SCMRationalLayer.init(jax.random.key(0), 2, 1)
        assert layer(jnp.array([1, 2]))[0].dtype == jnp.float32
        r = strict_inference(jnp.ones(2), jnp.array([1, 0]))
        assert r.cause.tolist() == [0, 4] and r.decoded.dtype == jnp.float32
        """
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ops", "layers", "losses", "inference", "training", "array"])
def test_34_nothing_is_imported_beyond_jax_and_scm(name):
    code = f"""
        import sys
        import zeroproofml.jax.{name}
        ours = {{m.split('.')[1] for m in sys.modules if m.startswith('zeroproofml.')}}
        assert ours == {{'jax', 'scm'}}, ours
        for foreign in ('torch', 'scipy.stats', 'pandas', 'pyarrow', 'pydantic', 'optax', 'flax'):
            assert foreign not in sys.modules, foreign
    """
    run(code)


def test_the_package_is_lazy_and_lists_its_names():
    run(
        """
        import sys
        import zeroproofml.jax as package
        assert 'jax' not in sys.modules and 'numpy' not in sys.modules
        assert 'SCMArray' in dir(package) and 'make_train_step' in dir(package)
        try:
            package.nothing
        except AttributeError as error:
            assert 'nothing' in str(error)
        else:
            raise SystemExit(1)
        """
    )


def test_every_listed_name_exists():
    import zeroproofml.jax as package

    for name in package.__all__:
        assert getattr(package, name) is not None
