"""Twenty kinds of bad calls to each command: one message, the exit status, and nothing written."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

import pytest

Muddle = Callable[[], dict[str, bytes]]

ON_IMAGES = """
COMMAND absent.jpg WEIGHTS                   | 1 | absent.jpg: no such file, and no image matches it
COMMAND notes.txt WEIGHTS                    | 1 | notes.txt: is not an image
COMMAND torn.jpg WEIGHTS                     | 1 | 1 of 1 images could not be read
COMMAND empty WEIGHTS                        | 1 | empty: has no file with the suffix of an image
COMMAND '*.webp' WEIGHTS                     | 1 | *.webp: no such file, and no image matches it
COMMAND photo.jpg absent.png WEIGHTS         | 1 | absent.png: no such file
COMMAND '' WEIGHTS                           | 1 | an image argument must not be an empty string
COMMAND - WEIGHTS                            | 1 | -: standard input is empty
COMMAND photo.jpg WEIGHTS --device gpu       | 1 | device must be auto, cpu, cuda or cuda:N, got 'gpu'
COMMAND photo.jpg WEIGHTS --device cuda:99   | 1 | device cuda:99: no such device
COMMAND photo.jpg WEIGHTS --tile 10          | 1 | --tile must be auto, no, or a side from 64 to 65536, got '10'
COMMAND photo.jpg WEIGHTS --format pascal    | 1 | --format must be one of coco, yolo, labelme, cvat, label-studio, got 'pascal'
COMMAND twins WEIGHTS --format yolo          | 1 | yolo: a.jpg and a.png would share a label file
COMMAND photo.jpg WEIGHTS --top 0            | 2 | --top
COMMAND photo.jpg WEIGHTS --max-detections 0 | 2 | --max-detections
COMMAND photo.jpg WEIGHTS --min-score high   | 2 | --min-score
COMMAND photo.jpg WEIGHTS --min-score nan    | 1 | --min-score must be a number, got nan
COMMAND photo.jpg WEIGHTS --nonsense         | 2 | No such option: --nonsense
COMMAND WEIGHTS                              | 2 | Missing argument 'images'
COMMAND val.json photo.jpg WEIGHTS           | 1 | val.json: a COCO file must be the only argument
COMMAND val.json --images nowhere WEIGHTS    | 1 | --images nowhere: no such folder
COMMAND photo.jpg --images val2017 WEIGHTS   | 1 | --images val2017: needs a COCO file
COMMAND torn.json WEIGHTS                    | 1 | torn.json: not JSON
COMMAND twice.json WEIGHTS                   | 1 | twice.json: images[2] (id 100): id 100 is already used
COMMAND results.json WEIGHTS                 | 1 | results.json: top level: must be an object with images
COMMAND photo.jpg WEIGHTS -o photo.jpg       | 1 | --out photo.jpg: must be a folder, but it is a file
COMMAND photo.jpg WEIGHTS -o notes.txt/out   | 1 | --out notes.txt/out: must be a folder, but notes.txt is a file
"""  # noqa: E501
PREDICT = """
predict photo.jpg                            | 2 | Missing option '--weights'
predict photo.jpg --weights nowhere          | 1 | nowhere: no such folder, and no such row of the zoo
predict photo.jpg --weights ''               | 1 | an empty address names no weights
predict photo.jpg --weights affinity         | 1 | affinity: holds an affinity network, not a detector
predict photo.jpg --weights empty            | 1 | empty: has no weights.safetensors and card.json
predict photo.jpg --weights torn_detector    | 1 | torn_detector/weights.safetensors: damaged
predict photo.jpg --weights models:/a@ggn    | 1 | models:/a@ggn: nothing is registered here
predict photo.jpg --weights detector --batch-size 0 | 2 | --batch-size
"""  # noqa: E501
GROUP = """
group photo.jpg                              | 1 | group needs --affinity-weights FOLDER, or --split NAME
group photo.jpg --affinity-weights nowhere   | 1 | nowhere: no such folder, and no such row of the zoo
group photo.jpg --affinity-weights detector  | 1 | detector: holds a detector, not an affinity network
group photo.jpg --affinity-weights empty     | 1 | empty: has no weights.safetensors and card.json
group photo.jpg --affinity-weights torn_affinity | 1 | torn_affinity/weights.safetensors: damaged
group photo.jpg --split nowhere              | 1 | splits.nowhere: no such split; there are mine, olns, wise
group photo.jpg --split mine                 | 1 | models/mine/affinity: no such folder
group photo.jpg --split wise                 | 1 | splits.wise.pseudo_gt.rank is 'learned', from data/wise/candidates
group photo.jpg --split olns                 | 1 | splits.olns.pseudo_gt.rank is 'oln', which asks the detector models/olns/baseline
group photo.jpg --affinity-weights affinity --batch-size 2 | 2 | No such option: --batch-size
"""  # noqa: E501
EVALUATE = """
evaluate                                         | 2 | Missing argument 'annotations'
evaluate val.json                                | 2 | Missing argument 'predictions'
evaluate val.json results.json extra.json        | 2 | unexpected extra argument(s) (extra.json)
evaluate absent.json results.json                | 1 | absent.json: no such file
evaluate val.json absent.json                    | 1 | absent.json: no such file
evaluate torn.json results.json                  | 1 | torn.json: not JSON
evaluate val.json torn.json                      | 1 | torn.json: not JSON
evaluate results.json val.json                   | 1 | val.json: predictions: must be a list
evaluate val.json results.json --unseen unicorn  | 1 | no category is named or numbered 'unicorn'; there are person (1)
evaluate val.json results.json --unseen ''       | 1 | --unseen must name a partition or categories
evaluate val.json results.json --unseen car      | 1 | val.json: has no object of the unseen categories
evaluate val.json results.json --protocol coco   | 1 | --protocol must be one of budget, federated, per_class, plain, got 'coco'
evaluate val.json results.json --iou-type mask   | 1 | --iou-type must be one of bbox, segm, got 'mask'
evaluate val.json boxes.json --iou-type segm     | 1 | boxes.json: predictions[0] (image_id 100): must have a segmentation
evaluate val.json foreign.json                   | 1 | foreign.json: predictions[0] (image_id 5): image_id must be the id
evaluate val.json small.json                     | 1 | small.json: predictions[0] (image_id 100): segmentation: RLE size is [10, 10]
evaluate val.json nan.json                       | 1 | nan.json: predictions[0] (image_id 100): score is NaN
evaluate val.json no_score.json                  | 1 | no_score.json: predictions[0] (image_id 100): score must be a finite number
evaluate val.json empty                          | 1 | empty: store: has no shards
evaluate val.json photo.jpg                      | 1 | photo.jpg: not JSON
evaluate empty results.json                      | 1 | empty: no such file; it is a folder
evaluate twice.json results.json                 | 1 | twice.json: images[2] (id 100): id 100 is already used
evaluate nothing.json results.json               | 1 | nothing.json: has no object; there is nothing to measure
evaluate odd.json results.json --strict          | 1 | odd.json: annotations[0] (id 1000, image_id 100): bbox
evaluate val.json results.json --json notes.txt/a.json | 1 | --json notes.txt: must be a folder, but it is a file
evaluate val.json results.json --json empty      | 1 | --json empty: must be a file, but it is a folder
evaluate val.json results.json --curve a.jpg     | 1 | --curve a.jpg: its name must end in .png
"""  # noqa: E501
COMPARE = """
compare results.json second.json                   | 2 | Missing option '--annotations'
compare results.json --annotations val.json        | 2 | Missing argument 'second'
compare results.json second.json a.json TRUTH      | 2 | unexpected extra argument(s) (a.json)
compare results.json results.json TRUTH            | 1 | results.json: the two results files are the same
compare results.json boxes.json TRUTH              | 1 | only one of results.json and boxes.json has masks
compare results.json boxes.json TRUTH --iou-type segm | 1 | boxes.json: predictions[0] (image_id 100): must have
compare absent.json second.json TRUTH              | 1 | absent.json: no such file
compare results.json absent.json TRUTH             | 1 | absent.json: no such file
compare results.json torn.json TRUTH               | 1 | torn.json: not JSON
compare results.json foreign.json TRUTH            | 1 | foreign.json: predictions[0] (image_id 5)
compare results.json nan.json TRUTH                | 1 | nan.json: predictions[0] (image_id 100): score is NaN
compare results.json empty TRUTH                   | 1 | empty: store: has no shards
compare results.json second.json --annotations absent.json  | 1 | absent.json: no such file
compare results.json second.json --annotations torn.json    | 1 | torn.json: not JSON
compare results.json second.json --annotations nothing.json | 1 | nothing.json: has no object; there is nothing to measure
compare results.json second.json --annotations odd.json --strict | 1 | odd.json: annotations[0]
compare results.json second.json TRUTH --unseen unicorn | 1 | no category is named or numbered 'unicorn'
compare results.json second.json TRUTH --unseen '' | 1 | --unseen must name a partition or categories
compare results.json second.json TRUTH --protocol x | 1 | --protocol must be one of
compare results.json second.json TRUTH --iou-type x | 1 | --iou-type must be one of
compare results.json second.json TRUTH --top 0     | 2 | --top
compare results.json second.json TRUTH --images nowhere | 1 | --images nowhere: no such folder
compare results.json second.json TRUTH -o notes.txt | 1 | --out notes.txt: must be a folder, but it is a file
"""  # noqa: E501
CHECK = """
check                                        | 2 | Missing argument 'annotations'
check val.json extra                         | 2 | unexpected extra argument(s) (extra)
check val.json --nonsense                    | 2 | No such option: --nonsense
check val.json --images                      | 2 | Option '--images' requires an argument
check absent.json                            | 1 | absent.json: file: does not exist
check torn.json                              | 1 | torn.json: not JSON
check photo.jpg                              | 1 | photo.jpg: not JSON
check empty                                  | 1 | empty: file: is a folder
check list.json                              | 1 | list.json: top level: must be an object with images
check results.json                           | 1 | results.json: top level: must be an object with images
check twice.json                             | 1 | twice.json: images[2] (id 100): id 100 is already used
check nothing.json                           | 1 | nothing.json: annotations: has no object to learn from or to find
check nan_truth.json                         | 1 | nan_truth.json: annotations[0]
check no_category.json                       | 1 | no_category.json: annotations[0] (id 1000): category_id 1
check stranger.json                          | 1 | stranger.json: annotations[8] (id 1)
check odd.json --strict                      | 1 | odd.json: annotations[0] (id 1000
check resized.json --images val2017          | 1 | resized.json: annotations[1] (id 1001): RLE size is [48, 64]
check val.json --images nowhere              | 1 | val.json: images: the image folder nowhere does not exist
check val.json --images empty                | 1 | empty/c.png: no such file
check val.json --images photo.jpg            | 1 | photo.jpg
check val.json --seen unicorn                | 1 | no category is named or numbered 'unicorn'
check val.json --seen car                    | 1 | val.json: annotations: has no object of the seen categories: car
check val.json --seen ''                     | 1 | val.json
"""  # noqa: E501
INIT = """
init                                         | 2 | Missing argument 'name'
init new val.json --seen person              | 2 | Missing option '--images'
init new val.json --images val2017           | 2 | Missing option '--seen'
init new val.json PERSON --size huge         | 2 | --size
init new val.json PERSON --seed -1           | 2 | --seed
init new val.json PERSON --val-share some    | 2 | --val-share
init new val.json PERSON --val-share 0       | 1 | --val-share must be between 0 and 1, got 0.0
init new val.json PERSON --val-share 1.5     | 1 | --val-share must be between 0 and 1, got 1.5
init 1new val.json PERSON                    | 1 | NAME must be a letter followed by letters, digits or _, got '1new'
init a-b val.json PERSON                     | 1 | NAME must be a letter followed by letters, digits or _, got 'a-b'
init mine val.json PERSON                    | 1 | params.yaml: splits.mine already exists
init taken val.json PERSON                   | 1 | data/raw/taken/train.json: already there; --force overwrites
init new absent.json PERSON                  | 1 | absent.json: no such file
init new torn.json PERSON                    | 1 | torn.json: not JSON
init new photo.jpg PERSON                    | 1 | photo.jpg: not JSON
init new twice.json PERSON                   | 1 | twice.json: images[2] (id 100): id 100 is already used
init new resized.json PERSON                 | 1 | resized.json: annotations[1] (id 1001): RLE size is [48, 64]
init new nothing.json PERSON                 | 1 | nothing.json: no image has an annotation of a seen category
init new one.json PERSON                     | 1 | 1 image cannot be divided; give --val, or more images
init new val.json --images nowhere --seen person | 1 | the image folder nowhere does not exist
init new val.json --images empty --seen person   | 1 | empty/c.png: no such file
init new val.json --images val2017 --seen unicorn | 1 | no category is named or numbered 'unicorn'
init new val.json --images val2017 --seen ''     | 1 | --seen must name a partition or categories
init new val.json --images val2017 --seen car    | 1 | val.json: no image has an annotation of a seen category
init new val.json PERSON --val absent.json   | 1 | absent.json: no such file
init new val.json PERSON --val torn.json     | 1 | torn.json: not JSON
init new val.json PERSON --val val.json --val-images nowhere | 1 | the image folder nowhere does not exist
init new val.json PERSON --val-images val2017 | 1 | --val-images val2017: needs --val
"""  # noqa: E501
CONVERT = """
convert coco                                 | 2 | Missing argument 'source'
convert coco official                        | 2 | Missing option '--out'
convert pascal official -o out               | 2 | 'pascal' is not one of 'coco', 'lvis', 'uvo', 'ade20k', 'imagenet'
convert COCO official -o out                 | 2 | 'COCO' is not one of
convert coco official extra -o out           | 2 | unexpected extra argument(s) (extra)
convert coco official -o out --nonsense      | 2 | No such option: --nonsense
convert coco official -o                     | 2 | requires an argument
convert coco nowhere -o out                  | 1 | nowhere: no such folder; get train2017.zip
convert coco photo.jpg -o out                | 1 | photo.jpg: no such folder
convert coco official --drop-faulty          | 2 | Missing option '--out'
convert coco empty -o out                    | 1 | empty: lacks annotations/instances_train2017.json
convert coco val2017 -o out                  | 1 | val2017: lacks annotations/instances_train2017.json
convert coco torn_official -o out            | 1 | torn_official/annotations/instances_train2017.json: not JSON
convert coco official -o photo.jpg           | 1 | --out photo.jpg: must be a folder, but it is a file
convert coco official -o notes.txt/out       | 1 | --out notes.txt/out: must be a folder, but notes.txt is a file
convert lvis empty -o out                    | 1 | empty: lacks train2017, val2017
convert lvis official -o out                 | 1 | official/annotations: lacks lvis_v1_train.json
convert uvo empty -o out                     | 1 | empty: has none of FrameSet/UVO_frame_val.json
convert ade20k empty -o out                  | 1 | empty: lacks images/ADE/training
convert imagenet empty -o out                | 1 | empty: lacks train; get ILSVRC2012_img_train.tar
"""  # noqa: E501
PSEUDO_GT = """
pseudo-gt nothing                            | 2 | No such command 'nothing'
pseudo-gt import                             | 2 | Missing argument 'source'
pseudo-gt import results.json extra          | 2 | unexpected extra argument(s) (extra)
pseudo-gt import results.json --nonsense     | 2 | No such option: --nonsense
pseudo-gt import results.json -o             | 2 | requires an argument
pseudo-gt import absent.json                 | 1 | absent.json: no such file or folder
pseudo-gt import torn.json                   | 1 | torn.json: not JSON
pseudo-gt import torn.json -o store          | 1 | torn.json: not JSON
pseudo-gt import photo.jpg                   | 1 | photo.jpg: not JSON
pseudo-gt import empty                       | 1 | empty: has no file named after an image id, such as 139.json
pseudo-gt import named                       | 1 | named: has no file named after an image id
pseudo-gt import val.json                    | 1 | val.json: file: must be a list with one list of objects per image
pseudo-gt import boxes.json                  | 1 | boxes.json: [0]: must have image_id (an integer), segmentation
pseudo-gt import nan.json                    | 1 | nan.json: [0] (image_id 100): score is NaN
pseudo-gt import no_score.json               | 1 | no_score.json: [0]: must have image_id
pseudo-gt import results.json -o photo.jpg   | 1 | --out photo.jpg: must be a folder, but it is a file
pseudo-gt import results.json -o notes.txt/a | 1 | --out notes.txt/a: must be a folder, but notes.txt is a file
pseudo-gt export store                       | 2 | Missing option '--out'
pseudo-gt export store extra -o a.json       | 2 | unexpected extra argument(s) (extra)
pseudo-gt export store -o a.json --category x | 2 | --category
pseudo-gt export absent -o a.json            | 1 | absent/index.parquet: missing; the folder is not a store
pseudo-gt export empty -o a.json             | 1 | empty/index.parquet: missing; the folder is not a store
pseudo-gt export photo.jpg -o a.json         | 1 | photo.jpg/index.parquet: missing
pseudo-gt export torn_store -o a.json        | 1 | torn_store/shard-
pseudo-gt export store -o notes.txt/a.json   | 1 | --out notes.txt: must be a folder, but it is a file
pseudo-gt export store -o photo.jpg          | 1 | --out photo.jpg: must be a folder, but it is a file
pseudo-gt export store -o a.json --format voc | 1 | --format must be one of reference, coco, got 'voc'
pseudo-gt export store -o a.json --class-agnostic | 1 | --class-agnostic needs --format coco
pseudo-gt export store -o a.json --format coco | 1 | store: no such file; it is a folder
pseudo-gt export absent.json -o a.json --format coco | 1 | absent.json: no such file
pseudo-gt export torn.json -o a.json --format coco | 1 | torn.json: not JSON
pseudo-gt export results.json -o a.json --format coco | 1 | results.json: top level: must be an object
pseudo-gt export val.json -o empty --format coco | 1 | --out empty: must be a file, but it is a folder
"""  # noqa: E501
SHORT = {"TRUTH": "--annotations val.json", "PERSON": "--images val2017 --seen person"}
WEIGHTS = {"predict": "--weights detector", "group": "--affinity-weights affinity"}


def calls() -> Iterator[tuple[str, int, str]]:
    tables = [PREDICT, GROUP, EVALUATE, COMPARE, CHECK, INIT, CONVERT, PSEUDO_GT]
    for command, option in WEIGHTS.items():
        tables.append(ON_IMAGES.replace("COMMAND", command).replace("WEIGHTS", option))
    for line in "".join(tables).strip().splitlines():
        if line:
            words, status, message = (part.strip() for part in line.split(" | "))
            for short, long in SHORT.items():
                words = words.replace(short, long)
            yield words, int(status), message


@pytest.mark.parametrize(("words", "status", "message"), list(calls()))
def test_a_bad_call_is_told_and_leaves_everything_as_it_was(
    words: str,
    status: int,
    message: str,
    muddle: Muddle,
    ggn: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = muddle()
    assert ggn(*shlex.split(words)) == status
    said = capsys.readouterr()
    assert message in said.out + said.err
    assert "Traceback" not in said.out + said.err
    assert {path for path, _ in muddle().items() ^ before.items()} == set()


def test_each_command_has_twenty() -> None:
    first = [words.split()[0] for words, _, _ in calls()]
    assert {name: first.count(name) >= 20 for name in first} == dict.fromkeys(first, True)


def test_faulty_official_files_leave_what_drop_faulty_goes_on_from(
    muddle: Muddle, ggn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before, words = muddle(), ("convert", "coco", "faulty_official", "-o", "out")
    assert ggn(*words) == 1
    assert "instances_train2017.json: annotations[0]" in capsys.readouterr().err
    assert muddle().keys() - before.keys() == {"out", "out/.train.log"}
    assert ggn(*words, "--drop-faulty") == 0
    assert muddle().keys() - before.keys() == {"out", "out/train.json", "out/val.json"}
