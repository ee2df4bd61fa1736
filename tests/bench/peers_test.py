#!/usr/bin/python3
"""What bench/peers.py makes of measurements, and what it measures: without any peer."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench/engines"), str(ROOT / "bench"), str(ROOT / "export")]
import contests  # noqa: E402
import environments  # noqa: E402
import rounds  # noqa: E402
import running  # noqa: E402
import shapes  # noqa: E402
import tables  # noqa: E402
from heed_export.bundle import bundle  # noqa: E402
from heed_export.decoding import decode  # noqa: E402
from heed_export.reading import spm_file  # noqa: E402

TICKS = rounds.TICK
MACHINE = {"cpu": "A processor", "cores": 2, "time": "2026-11-30T10:00:00+00:00", "loadavg": ["0.10", "0.2", "0.3"],
           "instructions": "AVX-512 VNNI; no AMX", "caches": ["48K", "1024K"]}  # fmt: skip


def result(*per_round, **more):
    """A contest's results of rounds given as {engine: rate}."""
    made = [{name: {"tokens_per_s": rate} for name, rate in one.items()} for one in per_round]
    return {"machine": MACHINE, "strangers_limit": 0.05, "strangers": 0.01, "thrown_out": 0, "rounds": made,
            "medians": rounds.medians(made), "versions": {}, "complete": True, **more}  # fmt: skip


class Load(unittest.TestCase):
    def test_busy_is_all_but_idle_and_waiting_and_what_the_host_took_counts(self):
        stat = f"cpu  {TICKS} {2 * TICKS} {4 * TICKS} 900 900 {8 * TICKS} {16 * TICKS} {32 * TICKS} 7 7\ncpu0 1 1 1 1\n"
        self.assertEqual(63, rounds.busy_seconds(stat))

    def test_a_process_with_a_bracket_in_its_name_has_its_times_and_its_childrens(self):
        fields = ["S"] + ["0"] * 10 + [str(n * TICKS) for n in (1, 2, 4, 8)] + ["99"] * 5
        self.assertEqual(15, rounds.process_seconds(f"77 (a) b) {' '.join(fields)}"))

    def test_a_childs_work_is_ours_while_it_lives_and_after(self):
        spin = "import time; e = time.process_time() + 0.3\nwhile time.process_time() < e: pass\nprint()\ninput()"
        before = rounds.own_seconds([])
        with subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            without, alive = rounds.own_seconds([]), rounds.own_seconds([child.pid])
            child.communicate(b"\n")
        self.assertGreaterEqual(alive - without, 0.25)
        self.assertGreaterEqual(rounds.own_seconds([]) - before, 0.25)

    def test_strangers_are_what_was_busy_and_not_ours(self):
        class Known(rounds.Watch):
            seen = [(10.0, 4.0, 100.0), (13.0, 6.5, 102.0)]

            def _now(self):
                return self.seen.pop(0)

        with Known(lambda: []) as watch:
            pass
        self.assertAlmostEqual(0.25, watch.cores)


class Rounds(unittest.TestCase):
    def of(self, *measured):
        left = list(measured)
        return lambda: left.pop(0)

    def test_a_round_with_strangers_is_thrown_out_and_repeated(self):
        kept = rounds.quiet_rounds(self.of(("a", 0.0), ("b", 0.4), ("c", 0.02), ("d", 0.0)), 3, 9, 0.05)
        self.assertEqual((["a", "c", "d"], 1, 0.02), (kept.rounds, kept.thrown_out, kept.strangers))

    def test_there_is_an_end_to_repeating(self):
        kept = rounds.quiet_rounds(lambda: ("x", 1.0), 5, 7, 0.05)
        self.assertEqual(([], 7), (kept.rounds, kept.thrown_out))

    def test_a_ratio_is_of_engines_in_the_same_round(self):
        # The machine was half as fast in the second round: the ratio is the same in each, that of medians would not be.
        made = result({"heed": 100, "peer": 50}, {"heed": 50, "peer": 25}, {"heed": 90, "peer": 45})["rounds"]
        self.assertEqual(2, rounds.ratio(made, "heed", "peer"))
        self.assertIsNone(rounds.ratio(made, "heed", "another"))
        self.assertEqual({"heed": 90, "peer": 45}, rounds.medians(made))
        self.assertEqual({}, rounds.medians([]))


class Tables(unittest.TestCase):
    def results(self):
        slow = {"heed float32": 100, "heed int8": 300, "PyTorch int8": 150, "bound int8": 600}
        fast = {name: 4 * rate for name, rate in slow.items()}
        return {"base-student/greedy/8": result(fast, fast), "base-student/greedy/1": result(slow, slow, thrown_out=2)}

    def test_rows_rise_and_ratios_are_of_heeds_best(self):
        by_rows = tables.grouped(self.results())["base-student", "greedy"]
        self.assertEqual([1, 8], list(by_rows))
        lines = tables.table(by_rows).splitlines()
        self.assertEqual("| tokens/s at rows | 1 | 8 | heed int8 over it, 1 | heed int8 over it, 8 |", lines[0])
        self.assertIn("| heed float32 | 100 | 400 | 3.00 | 3.00 |", lines)
        self.assertIn("| PyTorch int8 | 150 | 600 | 2.00 | 2.00 |", lines)

    def test_of_a_bound_heeds_share_is_said(self):
        by_rows = tables.grouped(self.results())["base-student", "greedy"]
        self.assertIn("| bound int8 | 600 | 2,400 | 50 % of it | 50 % of it |", tables.table(by_rows))

    def test_the_page_says_where_figures_are_of(self):
        page = tables.page(self.results())
        for said in ("A processor, 2 cores (AVX-512 VNNI; no AMX)", "at least 2 rounds", "2 rounds in which", "0.05"):
            self.assertIn(said, page)

    def test_an_engine_that_one_contest_lacks_has_a_dash_there(self):
        results = self.results()
        for one in results["base-student/greedy/1"]["rounds"]:
            del one["PyTorch int8"]
        del results["base-student/greedy/1"]["medians"]["PyTorch int8"]
        by_rows = tables.grouped(results)["base-student", "greedy"]
        self.assertIn("| PyTorch int8 | - | 600 | - | 2.00 |", tables.table(by_rows))

    def test_where_the_time_goes_is_said_where_it_was_taken(self):
        results = self.results()
        results["base-student/greedy/8"]["parts"] = {"heed int8": {"output": 12.34, "attention": 5}}
        self.assertIn("| heed int8, us a token at rows | 8 |\n|---|---|\n| output | 12.3 |\n| attention | 5.0 |",
                      tables.page(results))  # fmt: skip
        self.assertNotIn("us a token", tables.page(self.results()))

    def test_a_plot_has_heed_its_bound_and_each_peers_fastest(self):
        rates = {"heed int8": 9, "bound int8": 12, "PyTorch float32": 1, "PyTorch int8": 5, "Marian, WebAssembly": 2,
                 "fxtranslate crate": 4, "CTranslate2 int8, Transformer": 3}  # fmt: skip
        by_rows = {1: result(rates), 8: result(rates)}
        chosen = ["heed int8", "bound int8", "PyTorch int8", "fxtranslate crate", "CTranslate2 int8, Transformer"]
        self.assertEqual(chosen, tables.lines_of(by_rows))
        self.assertIn("fxtranslate crate", tables.plot("base-student", by_rows))

    def test_what_a_processor_has_and_lacks(self):
        said = tables.instructions("model name\t: X\nflags\t\t: fpu avx512_vnni avx512_bf16\n")
        self.assertEqual("AVX-512 VNNI, AVX-512 BF16; no AMX", said)

    def test_only_what_stands_between_the_markers_is_written(self):
        text = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
        written = tables.between_markers(text, "new")
        self.assertEqual(f"before\n{tables.BEGIN}\n\nnew\n\n{tables.END}\nafter\n", written)
        self.assertEqual(written, tables.between_markers(written, "new"))
        for broken in ("none", tables.BEGIN, f"{tables.END} {tables.BEGIN}", text + text):
            with self.assertRaisesRegex(ValueError, "once each"):
                tables.between_markers(broken, "new")

    def test_the_page_in_the_tree_has_the_markers(self):
        tables.between_markers((ROOT / "bench/README.md").read_text(encoding="utf-8"), "new")


class Shapes(unittest.TestCase):
    def test_a_text_has_as_many_pieces_as_its_length_says(self):
        pieces = spm_file.read(shapes.spm_model(), "made").pieces
        self.assertEqual(shapes.PIECES, len(pieces))
        self.assertEqual(shapes.PIECES, len(set(pieces)))
        texts = shapes.texts(4)
        self.assertEqual(sorted(list(shapes.LENGTHS) * 4), sorted(len(t.split()) + 1 for t in texts))
        self.assertLessEqual({f"\u2581{word}" for text in texts for word in text.split()}, set(pieces))
        self.assertEqual(texts, shapes.texts(4))

    def test_batches_are_full(self):
        for contest in contests.every():
            self.assertEqual(0, shapes.per_length(contest.at_once) % contest.at_once, contest.name)

    def test_contests_have_names_of_their_own_and_shortlists_are_students(self):
        every = contests.every()
        self.assertEqual(len(every), len({c.name for c in every}))
        self.assertEqual({"student"}, {c.kind for c in every if c.search == "shortlist"})
        beams = {(c.at_once, c.step_rows) for c in every if (c.search, c.rows) == ("beam5", 64)}
        self.assertEqual({(12, 60)}, beams)

    def test_the_products_of_a_step(self):
        lstm = [(1024, 1536), (768, 384), (384, 256), (256, 5000)]
        self.assertEqual(lstm, contests.products(ROOT / "models/pydocs-ko-en"))
        gru = [(512, 256), (576, 960), (320, 960), (896, 192), (192, 6000), (896, 1)]
        self.assertEqual(gru, contests.products(ROOT / "models/sae4k-ko"))

    def test_random_variables_make_a_model(self):
        sizes = {"units": 8, "layers": 2, "encoder": "bi"}
        made = shapes.recurrent_weights(sizes, shapes.np.random.default_rng(1))
        self.assertEqual((8 + 16, 8), made["decoder/attention/attention_layer/kernel"].shape)


class Torch(unittest.TestCase):
    """The PyTorch that heed is measured against computes what the oracle does."""

    def test_shipped_models_have_the_oracles_tokens(self):
        import torch
        import torch_program

        torch.set_num_threads(1)
        numbers = shapes.random.Random(3)
        for name in ("pydocs-ko-en", "sae4k-ko"):
            source = bundle.read(ROOT / "models" / name)
            sources = [[numbers.randrange(3, 4000) for _ in range(n)] + [2] for n in (3, 9, 5, 9)]
            model, oracle = torch_program.Model(source), decode.load(source)
            said = [d.tokens for d in decode.greedy(model, sources, 4, scores=False)]
            copies = sources if name == "sae4k-ko" else None
            want = decode.greedy(oracle, sources, 4, scores=False, copies=copies)
            self.assertEqual([d.tokens for d in want], said, name)
            for precision in ("bfloat16", "int8"):
                decode.greedy(torch_program.Model(source, precision), sources, 4, scores=False)

    def test_a_beam_goes_on_to_the_greatest_length(self):
        import torch_program

        model = torch_program.Model(bundle.read(ROOT / "models/sae4k-ko"))
        self.assertEqual(2 * (2 * 4 + 20), torch_program.beam(model, [[5, 6, 7, 2], [8, 9, 10, 2]], 2, 3))


class Workers(unittest.TestCase):
    def worker(self, body):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "peer.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT / 'bench/engines')!r})\n{body}")
        (folder / "texts").write_text("one two\nthree\n")
        return folder / "texts", lambda: running.Worker([sys.executable, folder / "peer.py", "SPEC"], {"say": 5}, 0)

    def test_a_peer_is_asked_again_and_again(self):
        texts, start = self.worker(
            "import work\nspec = work.specification()\nprint('a line of its own')\n"
            "run = lambda count, rows, beam: count * rows * spec['say']\n"
            "work.serve({'peer': '1'}, len, run, ['slow'])\n"
        )
        worker = start()
        self.assertEqual({"versions": {"peer": "1"}, "notes": ["slow"]}, worker.about)
        self.assertEqual([20, 30], [worker.measure(texts, rows, 1)["tokens"] for rows in (2, 3)])
        worker.stop()

    def test_a_peer_that_ends_is_an_error_with_its_last_words(self):
        _, start = self.worker("sys.exit('no such model')\n")
        with self.assertRaisesRegex(RuntimeError, "no such model"):
            start()


class Environments(unittest.TestCase):
    def test_an_environment_is_made_once_and_anew_for_another_pin(self):
        made = []

        class Fake(environments.Environments):
            pin = "a==1"

            def _wanted(self, name):
                return self.pin

            def _commands(self, name):
                made.append(self.pin)
                return [["true"]]

        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        fake = Fake(folder)
        for pin in ("a==1", "a==1", "a==2"):
            fake.pin = pin
            fake.make("torch")
        self.assertEqual(["a==1", "a==2"], made)

    def test_one_that_cannot_be_made_is_said_and_tried_again(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        fails = environments.Environments(folder, python="/nonexistent/python")
        for _ in range(2):
            with self.assertRaisesRegex(RuntimeError, "environment torch: .*nonexistent"):
                fails.make("torch")

    def test_everything_is_pinned(self):
        for listed in environments.PYTHON.values():
            for package in listed:
                self.assertRegex(package, r"^[a-z0-9]+==[0-9.]+$")
        self.assertTrue(re.search(r"@\d+\.\d+\.\d+$", environments.MARIAN))


if __name__ == "__main__":
    unittest.main()
