"""Train the VAE, or evaluate it by FID."""

from coursekit.errors import one_line_errors
from coursekit.flags import positive, rate, run_parser


def parse_args():
    """Read the flags: `python main.py --help` lists them."""
    parser = run_parser(__doc__)
    group = parser.add_argument_group("the model")
    group.add_argument("--latent_dim", type=positive, default=64, metavar="N", help="length of z")
    group.add_argument("--batch_size", type=positive, default=32, metavar="N", help="images in a batch")
    group.add_argument("--learning_rate", type=rate, default=1e-3, metavar="RATE", help="Adam's step size")
    return parser.parse_args()


def main():
    """Train where `--do_train` says so, then evaluate the newest checkpoint."""
    args = parse_args()

    # Imported only now: torch takes seconds to load, and a mistyped flag should not have to wait for it.
    from coursekit.data import num_channels
    from coursekit.evaluation import evaluate_fid
    from coursekit.run import Run
    from dataset import VALUE_RANGE, Dataset
    from model import VAE
    from trainer import Trainer

    run = Run("VAE", args)
    model = run.to_device(VAE(num_channels(args.dataset), args.latent_dim))
    data = Dataset(args.dataset, args.data_dir, args.batch_size, args.seed, run.device)
    if args.do_train:
        trainer = Trainer(model, args.learning_rate, data, run)
        trainer.train(args.num_train_steps, args.logging_steps, args.saving_steps)

    run.track(model=model)
    evaluate_fid(
        run,
        data.images,
        generate=lambda z: model.eval()(z=z),
        noise_shape=(args.latent_dim,),
        value_range=VALUE_RANGE,
    )


if __name__ == "__main__":
    with one_line_errors("main.py"):
        main()
