"""Train the GAN, or evaluate its generator by FID."""

from coursekit.errors import one_line_errors
from coursekit.flags import decay, positive, rate, run_parser


def parse_args():
    """Read the flags: `python main.py --help` lists them."""
    parser = run_parser(__doc__)
    group = parser.add_argument_group("the model")
    group.add_argument("--latent_dim", type=positive, default=100, metavar="N", help="channels of the noise")
    group.add_argument("--generator_hidden_dim", type=positive, default=16, metavar="N", help="channels inside G")
    group.add_argument("--discriminator_hidden_dim", type=positive, default=16, metavar="N", help="channels inside D")
    group.add_argument("--batch_size", type=positive, default=64, metavar="N", help="images in a batch")
    group.add_argument("--learning_rate", type=rate, default=2e-4, metavar="RATE", help="Adam's step size")
    group.add_argument("--beta1", type=decay, default=0.5, metavar="RATE", help="Adam's decay of the first moment")
    return parser.parse_args()


def main():
    """Train where `--do_train` says so, then evaluate the newest checkpoint."""
    args = parse_args()

    # Imported only now: torch takes seconds to load, and a mistyped flag should not have to wait for it.
    from coursekit.data import num_channels
    from coursekit.evaluation import evaluate_fid
    from coursekit.run import Run
    from dataset import VALUE_RANGE, Dataset
    from model import Discriminator, Generator
    from trainer import Trainer

    run = Run("GAN", args)
    netG = run.to_device(Generator(num_channels(args.dataset), args.latent_dim, args.generator_hidden_dim))
    data = Dataset(args.dataset, args.data_dir, args.batch_size, args.seed, run.device)
    if args.do_train:
        netD = run.to_device(Discriminator(num_channels(args.dataset), args.discriminator_hidden_dim))
        trainer = Trainer(netG, netD, args.learning_rate, args.beta1, data, run)
        trainer.train(args.num_train_steps, args.logging_steps, args.saving_steps)

    run.track(netG=netG)
    evaluate_fid(
        run,
        data.images,
        generate=netG.eval(),
        noise_shape=(args.latent_dim, 1, 1),
        value_range=VALUE_RANGE,
    )


if __name__ == "__main__":
    with one_line_errors("main.py"):
        main()
