optimizer = dict(type='SGD', lr=0.02 / 8, momentum=0.9, weight_decay=1e-4)
optimizer_config = dict(grad_clip=dict(max_norm=35, norm_type=2))
lr_config = dict(
    policy='step', warmup='linear', warmup_iters=1000, warmup_ratio=1.0 / 1000, step=[8, 11]
)
runner = dict(type='EpochBasedRunner', max_epochs=12)
evaluation = dict(interval=4, metric=['bbox', 'segm'], save_best='bbox_mAP', classwise=False)
