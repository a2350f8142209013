"""My cats and dogs."""

_base_ = ['../mask_rcnn_model.py', '../_base_/schedule_1x.py', '../_base_/runtime.py']
root = '/datasets/mine/'
CLASSES = ('cat', 'dog')
pipeline = [
    {'type': 'LoadImageFromFile', 'to_float32': True},
    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
    {'type': 'Resize', 'img_scale': [(1000, 600)], 'keep_ratio': True},
    {'type': 'RandomFlip', 'flip_ratio': 0.5, 'direction': 'horizontal'},
    {
        'type': 'Normalize',
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'to_rgb': True,
    },
    {'type': 'Pad', 'size_divisor': 32},
    {'type': 'DefaultFormatBundle'},
    {'type': 'Collect', 'keys': ['img', 'gt_bboxes', 'gt_labels', 'gt_masks']},
]
data = {
    'samples_per_gpu': 2,
    'workers_per_gpu': 8,
    'train': {
        'pipeline': pipeline,
        'type': 'CocoSplitDataset',
        'train_class': CLASSES,
        'eval_class': ('bird', 'kite'),
        'img_prefix': f'{root}train/',
        'ann_file': f'{root}annotations/train.json',
        'is_class_agnostic': True,
    },
    'val': {
        'type': 'CocoSplitDataset',
        'train_class': CLASSES,
        'eval_class': ('bird', 'kite'),
        'img_prefix': root + 'val/',
        'ann_file': root + 'annotations/val.json',
        'is_class_agnostic': True,
    },
}
model = dict(
    roi_head=dict(bbox_head=dict(loss_bbox=dict(_delete_=True, type='L1Loss', loss_weight=1.0)))
)
work_dir = './work_dirs/{{ fileBasenameNoExtension }}'
gpu_ids = range(4)
seed = None
