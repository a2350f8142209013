"""UVO: video frames with an outline of every object, without categories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ggn.core.coco import CocoError, Fault
from ggn.core.masks import area_and_box, from_segmentation
from ggn.data.conversion import (
    Converted,
    Part,
    Record,
    SourceError,
    group_by_image,
    image_record,
    read_parts,
    require,
    take,
)

WHERE = (
    "get UVOv1.0.zip, uvo_videos_dense.zip and uvo_videos_sparse.zip from the dataset page of UVO "
    "(sites.google.com/view/unidentified-video-object), and cut each folder of videos X into the "
    "folder X_frames with its video2frames.py"
)
SETS = {
    "frame": ("FrameSet/UVO_frame_{part}.json", "uvo_videos_sparse_frames"),
    "dense": ("VideoDenseSet/UVO_video_{part}_dense.json", "uvo_videos_dense_frames"),
    "sparse": ("VideoSparseSet/UVO_sparse_{part}_video.json", "uvo_videos_sparse_frames"),
}
"""The annotation files of each set in UVO v1.0, and the folder of its frames: the set of frames and
the sparse set are the same videos."""
CATEGORY = {"id": 1, "name": "object"}


def parts(source: Path) -> list[Part]:
    """Return SET_train and SET_val of every set found; `info` has the set and its videos' number.

    A file may be of still frames (`images`) or of videos (`videos`, as in YouTube-VIS: a list of
    segmentations each, null where the object is out of sight). A frame listed twice is one image.

    Raises:
        SourceError: naming what is missing.
        CocoError: naming the file, the id and the key of what is malformed.
    """
    require(source, [], WHERE)
    found = []
    for name, (pattern, frames) in SETS.items():
        for part in ("train", "val"):
            path = source / pattern.format(part=part)
            if path.is_file():
                require(source, [frames], WHERE)
                found.append(_part(source, path, frames, name, part))
    if not found:
        files = ", ".join(pattern.format(part="val") for pattern, _ in SETS.values())
        raise SourceError(f"{source}: has none of {files}; {WHERE}")
    return found


def _part(source: Path, path: Path, frames: str, name: str, part: str) -> Part:
    document = read_parts(path, ("annotations",))
    kind = "videos" if "videos" in document else "images"
    document = read_parts(path, ("annotations", kind))
    listed = _video_frames(document, path) if kind == "videos" else _stills(document, path)
    objects: dict[str, list[Record]] = {}
    videos = set()
    for video, file_name, shown in listed:
        videos.add(video)
        known = objects.setdefault(file_name, [])
        known += [record for record in shown if record not in known]

    def convert(item: str) -> Converted:
        image = image_record(source, f"{frames}/{item}", f"{path}: frame {item}", WHERE)
        size_hw = (image["height"], image["width"])
        return {**image, "video": item.rpartition("/")[0] or item}, [
            _annotation(record, size_hw, path, item) for record in objects[item]
        ]

    info = {"dataset": "uvo", "set": f"{name} {part}", "videos": len(videos)}
    return Part(f"{name}_{part}", path, sorted(objects), convert, [CATEGORY], info)


def _stills(document: Record, path: Path) -> Iterator[tuple[str, str, list[Record]]]:
    objects = group_by_image(document, path)
    for image in document["images"]:
        file_name = take(image, "file_name", str, path, f"image {image['id']}")
        video = str(image.get("ytid") or file_name.rpartition("/")[0] or file_name)
        yield video, file_name, objects[image["id"]]


def _video_frames(document: Record, path: Path) -> Iterator[tuple[str, str, list[Record]]]:
    tracks: dict[int, list[Record]] = {
        take(video, "id", int, path, f"videos[{i}]"): []
        for i, video in enumerate(document["videos"])
    }
    for annotation in document["annotations"]:
        where = f"annotation {annotation.get('id')}"
        video_id = take(annotation, "video_id", int, path, where)
        if video_id not in tracks:
            reason = f"video_id {video_id} is not the id of any of the videos"
            raise CocoError([Fault(str(path), where, reason)])
        tracks[video_id].append(annotation)
    for video in document["videos"]:
        names = take(video, "file_names", list, path, f"video {video['id']}")
        for track in tracks[video["id"]]:
            where = f"annotation {track.get('id')}"
            masks = take(track, "segmentations", list, path, where)
            if len(masks) != len(names):
                reason = f"segmentations must be one per frame ({len(names)}), got {len(masks)}"
                raise CocoError([Fault(str(path), where, reason)])
        for index, file_name in enumerate(names):
            shown = [
                {"segmentation": track["segmentations"][index], "track": track.get("id")}
                for track in tracks[video["id"]]
                if track["segmentations"][index] is not None
            ]
            yield str(video["id"]), str(file_name), shown


def _annotation(record: Record, size_hw: tuple[int, int], path: Path, frame: str) -> Record:
    """Return a record with area and box of its mask; UVO's own ids are kept as `track`."""
    segmentation: Any = record.get("segmentation")
    try:
        rle = from_segmentation(segmentation, size_hw)
    except ValueError as error:
        raise CocoError([Fault(str(path), f"frame {frame}", str(error))]) from error
    return {
        "category_id": CATEGORY["id"],
        "iscrowd": record.get("iscrowd", 0),
        "track": record.get("track", record.get("id")),
        "segmentation": segmentation,
        **area_and_box(rle),
    }
