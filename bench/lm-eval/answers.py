"""What lm-evaluation-harness needs beside the task files here: SQuAD's questions, references, and SQuAD v1.1's scores."""

from datasets import Dataset
from lm_eval.tasks.qasper.metrics import f1_abstractive, normalize_answer


def questions(articles):
    """Every question of the official SQuAD format as a document of its own."""
    return Dataset.from_list(
        [
            {
                "id": asked["id"],
                "title": article.get("title"),
                "context": paragraph["context"],
                "question": asked["question"],
                "answers": [answer["text"] for answer in asked["answers"]],
            }
            for article in articles
            for paragraph in article["paragraphs"]
            for asked in paragraph["qas"]
        ]
    )


def _target(references):
    """Each once; alone, one is its text, as pare writes it into its samples."""
    references = list(dict.fromkeys(references))
    return references[0] if len(references) == 1 else references


def squad_references(doc):
    return _target(doc["answers"])


def triviaqa_references(doc):
    return _target([doc["answer"], *doc["aliases"]])


def _scores(results, target):
    """The first line of the answer against the best of its references."""
    answer = results[0].strip().split("\n")[0].strip()
    references = [target] if isinstance(target, str) else target
    return {
        "exact_match": max(float(normalize_answer(answer) == normalize_answer(one)) for one in references),
        "f1": max(f1_abstractive([answer], [one]) for one in references),
    }


def squad_scores(doc, results):
    return _scores(results, squad_references(doc))


def triviaqa_scores(doc, results):
    return _scores(results, triviaqa_references(doc))
