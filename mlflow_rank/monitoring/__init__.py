"""Is training going wrong? A fixed probe set, one point of every layer now and then, control charts, and alarms.

No labels, no MLflow. The way through the folder is

`model + ProbeSet → Point → Judge → Verdict (residuals, limits, Alarms) → Keeper (who keeps and shows it)`
"""
