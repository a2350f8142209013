checkpoint_config = dict(interval=2, max_keep_ckpts=3)
log_config = dict(
    interval=50,
    hooks=[
        dict(type='TextLoggerHook', by_epoch=False),
        dict(
            type='WandbLoggerHook',
            init_kwargs=dict(project='open-world', name='first try', tags=('gn', '4 gpus')),
        ),
        dict(type='MlflowLoggerHook', exp_name='mine'),
    ],
)
custom_hooks = [dict(type='NumClassCheckHook')]
custom_imports = dict(
    imports=['mmdet.models.detectors', 'projects.heads'], allow_failed_imports=False
)
dist_params = dict(backend='nccl', port=29501)
log_level = 'DEBUG'
load_from = None
resume_from = '/scratch/me/work_dirs/first/latest.pth'
workflow = [('train', 2), ('val', 1)]
opencv_num_threads = 0
mp_start_method = 'fork'
find_unused_parameters = True
